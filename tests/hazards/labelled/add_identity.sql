alter table guests add column seq bigint generated always as identity;
