alter table bookings add constraint bookings_guest foreign key (guest_id) references guests (id);
