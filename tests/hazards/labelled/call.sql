call rebuild_everything();
