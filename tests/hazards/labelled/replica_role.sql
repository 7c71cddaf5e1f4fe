set session_replication_role = replica;
insert into bookings (id) values ('a');
set session_replication_role = default;
