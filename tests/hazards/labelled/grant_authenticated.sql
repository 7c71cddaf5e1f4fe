grant select, insert on bookings to authenticated;
