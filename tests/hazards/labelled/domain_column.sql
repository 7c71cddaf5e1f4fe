create domain percentage as int check (value between 0 and 100);
alter table bookings add column discount percentage;
