alter type booking_status add value 'no_show';
update bookings set status = 'no_show' where id = '00000000-0000-0000-0000-000000000000';
