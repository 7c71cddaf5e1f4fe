create table accounts (id bigint primary key);
create table members (account_id bigint references accounts (id), user_id uuid, primary key (account_id, user_id));
