drop view occupancy;
create view occupancy as select 1 as day;
