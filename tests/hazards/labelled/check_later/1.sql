alter table bookings add constraint bookings_total check (total_cents >= 0) not valid;
