alter table guests add column vip boolean not null default false;
alter table bookings add column vip boolean not null default false;
