create table accounts (id bigint primary key);
create table payments (id bigint primary key, account_id bigint references accounts (id), open boolean);
create index on payments (account_id) where open;
