alter table guests add column vip boolean;
alter table guests alter column vip set default false;
comment on column guests.vip is 'pays more';
