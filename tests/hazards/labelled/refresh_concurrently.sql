refresh materialized view concurrently occupancy_by_day;
