alter table bookings add column nights int generated always as (check_out - check_in) virtual;
