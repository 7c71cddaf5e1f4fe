truncate table guests restart identity cascade;
