alter table guests add column nickname text;
