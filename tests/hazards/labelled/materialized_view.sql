create materialized view occupancy_by_day as select check_in, count(*) from bookings group by 1;
create unique index on occupancy_by_day (check_in);
