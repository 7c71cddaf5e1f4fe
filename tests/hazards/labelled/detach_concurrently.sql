alter table events detach partition events_2019 concurrently;
