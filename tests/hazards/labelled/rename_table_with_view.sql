alter table guests rename to customers;
create view guests with (security_invoker = true) as select * from customers;
