alter table events add column meta json;
