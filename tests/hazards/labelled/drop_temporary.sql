create temporary table scratch as select 1 as id;
truncate scratch;
drop table scratch;
