-- How full the house is, a row a day, for the dashboard.
create view public.occupancy with (security_invoker = true) as
select day::date as day,
       count(b.id)::int as booked,
       (select count(*)::int from public.accommodations where active) as available
  from generate_series(current_date - 30, current_date + 90, interval '1 day') as day
  left join public.bookings b
    on day::date >= b.check_in and day::date < b.check_out and b.status in ('confirmed', 'completed')
 group by day;

comment on view public.occupancy is 'Nights booked against accommodations available; 30 days back, 90 ahead';
