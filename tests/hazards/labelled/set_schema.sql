alter table guests set schema crm;
