alter table guests add column number bigserial;
