alter table guests drop column phone cascade, drop column fax;
