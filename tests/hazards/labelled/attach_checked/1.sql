alter table events_2024 add constraint fits check (at >= '2024-01-01' and at < '2025-01-01' and at is not null) not valid;
