create table vouchers (id bigint primary key, code text not null unique);
alter table bookings add column voucher_code text;
