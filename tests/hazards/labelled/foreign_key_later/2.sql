alter table bookings validate constraint bookings_guest;
