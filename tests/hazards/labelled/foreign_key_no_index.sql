create table accounts (id bigint primary key);
create table payments (id bigint primary key, account_id bigint not null references accounts (id));
