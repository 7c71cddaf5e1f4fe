refresh materialized view occupancy_by_day;
