alter table guests disable row level security;
