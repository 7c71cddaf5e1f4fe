alter table guests add column passport text unique;
