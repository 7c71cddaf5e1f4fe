alter table bookings alter column status set default 'pending';
