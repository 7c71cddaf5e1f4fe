create table accounts (id bigint primary key);
create table members (user_id uuid, account_id bigint references accounts (id), primary key (user_id, account_id));
