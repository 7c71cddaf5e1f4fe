create table prices_new (like prices including all);
