alter table bookings add column channel_id bigint;
alter table bookings add constraint bookings_channel foreign key (channel_id) references channels (id) not valid;
