alter table bookings alter column status set statistics 500;
