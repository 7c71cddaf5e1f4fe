-- drop table guests; alter table guests drop column email;
comment on table guests is 'drop table guests';
select 'truncate guests';
