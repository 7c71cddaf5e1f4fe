alter table invoices alter column total type numeric(14,2);
