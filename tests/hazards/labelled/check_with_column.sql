alter table bookings add column rating int check (rating between 1 and 5);
