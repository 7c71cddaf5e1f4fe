alter table orders add column code text default make_order_code();
