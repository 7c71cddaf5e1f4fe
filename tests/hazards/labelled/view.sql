create or replace view open_bookings with (security_invoker = true) as select * from bookings where status = 'pending';
