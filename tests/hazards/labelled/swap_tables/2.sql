alter table prices rename to prices_old;
alter table prices_new rename to prices;
