alter table guests rename to customers;
