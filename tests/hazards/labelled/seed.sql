insert into roles (name) values ('owner'), ('manager') on conflict do nothing;
