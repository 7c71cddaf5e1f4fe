alter table guests add column newsletter boolean not null default false;
