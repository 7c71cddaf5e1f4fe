alter table guests add column country text not null;
