alter table guests add column locale text not null default 'en';
select count(*) from guests;
