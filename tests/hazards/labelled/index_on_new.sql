create table reviews (id bigint generated always as identity primary key, booking_id uuid not null, stars int);
create index reviews_booking on reviews (booking_id);
alter table reviews add constraint stars check (stars between 1 and 5);
alter table reviews alter column stars set not null;
