create table if not exists reviews (id bigint primary key, booking_id uuid);
create index if not exists reviews_booking on reviews (booking_id);
