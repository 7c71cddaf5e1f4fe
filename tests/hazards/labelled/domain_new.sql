create domain email_address as text check (value like '%@%');
create table subscribers (email email_address primary key);
