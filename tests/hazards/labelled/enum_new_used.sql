create type shade as enum ('light', 'dark');
create table themes (id int primary key, shade shade not null default 'light');
