alter table bookings alter column channel drop default;
