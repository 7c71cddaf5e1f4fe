alter table bookings add constraint no_overlap exclude using gist (room_id with =, during with &&);
